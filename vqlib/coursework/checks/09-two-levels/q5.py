from otter.test_files import test_case

OK_FORMAT = False

name = "q5"
points = None

@test_case(points=1, hidden=False)
def test_q5_draw_small(draw_levels):
    import numpy as np
    from vqlib.coursework import call, compare
    top_logits = np.array([[1.9, 0.9], [0.7, 0.0], [1.3, 0.8]])
    bottom_logits = np.array([[[0.1, 0.5], [-2.2, 1.3], [0.8, -3.1]], [[2.1, 1.0], [1.0, -0.1], [-1.2, 2.1]]])
    top_noise = np.array([[[0.0, -0.9]], [[1.2, 2.3]]])
    bottom_noise = np.array([[[0.7, 1.4], [0.3, 2.5]], [[1.5, 2.4], [1.9, 1.8]], [[0.0, 0.2], [-0.7, -0.5]], [[-0.3, 1.5], [0.3, 0.3]]])
    grids = call(draw_levels, top_logits, bottom_logits, top_noise, bottom_noise)
    if not isinstance(grids, (list, tuple)) or len(grids) != 2:
        raise AssertionError('draw_levels should return two grids, the top first.')
    argmax = {'Is the noise in it? The largest logit alone is no draw.': [[0], [0]]}
    compare(grids[0], [[0], [1]], 'the grid of top codes', argmax)
    mistakes = {'Is the noise in it? The largest logit alone is no draw.': [[0, 1], [1, 1], [0, 0], [0, 0]], 'Each top code lies over its own four positions; the grid is not repeated.': [[0, 1], [0, 0], [1, 1], [1, 0]], 'At the start of a row, too, a code was drawn before: the last one of the row above.': [[0, 1], [0, 1], [1, 0], [1, 0]], 'Before the first code, none was drawn, not code 0. Which row is for that?': [[1, 1], [1, 1], [0, 0], [1, 0]]}
    compare(grids[1], [[0, 1], [1, 1], [0, 0], [1, 0]], 'the grid of bottom codes', mistakes)

@test_case(points=1, hidden=False)
def test_q5_price_small(price):
    import numpy as np
    from vqlib.coursework import expect
    top_logits = np.log([[1.0, 3.0], [2.0, 2.0], [1.0, 7.0]])
    bottom_logits = np.log([[[3.0, 1.0], [1.0, 4.0], [1.0, 3.0]], [[1.0, 7.0], [3.0, 1.0], [2.0, 1.0]]])
    top, bottom = (np.array([[1], [0]]), np.array([[0, 1], [1, 1], [0, 0], [1, 0]]))
    expected = np.array([1.1926451, 11.8365013])
    mistakes = {'Those are nats. Bits have the logarithm to the base 2.': expected * np.log(2), 'That is a mean over the positions. The probability of a grid is a product, so its bits are a sum.': expected / [2, 8], 'The probabilities of a row should add up to 1. Logits are not yet logarithms of probabilities.': [-3.8073549, -5.3923174], 'That is below zero; bits are not.': -expected, 'The bottom was priced with the table of another top code than the one over it.': [1.1926451, 9.1584294], 'At the start of a row, too, a code was drawn before.': [3.1926451, 9.5145732]}
    expect(price, (top, bottom, top_logits, bottom_logits), expected, 'the pair of bits', mistakes)
