from otter.test_files import test_case

OK_FORMAT = False

name = "q5"
points = None

@test_case(points=1, hidden=False)
def test_q5_small(draw):
    from functools import partial
    import numpy as np
    from vqlib.coursework import expect, probe
    rng = np.random.default_rng(10)
    table = np.round(rng.normal(0, 1, size=(6, 6, 3, 3)), 1) * np.tril(np.ones((6, 6)), -1)[:, :, None, None]
    table[:, 0] += np.round(rng.normal(0, 1, size=(6, 1, 3)), 1)
    uniform = np.round(rng.uniform(size=(3, 2, 3)), 2)
    codes = np.array([[[2, 1, 0], [0, 0, 0]], [[0, 2, 0], [0, 0, 0]], [[1, 0, 1], [1, 1, 1]]])
    keep = np.array([[False, True, False], [False, False, False]])
    mistakes = {'Those are the likeliest codes. Nothing was drawn.': [[[1, 1, 0], [2, 1, 0]], [[1, 2, 0], [0, 1, 2]], [[1, 0, 0], [2, 1, 2]]], 'The temperature divides the logits. Was something multiplied?': [[[0, 1, 0], [1, 2, 0]], [[0, 2, 2], [0, 2, 2]], [[1, 0, 1], [1, 2, 0]]], 'Where is the temperature?': [[[0, 1, 0], [1, 2, 1]], [[0, 2, 2], [0, 2, 1]], [[1, 0, 0], [2, 1, 0]]], 'The probabilities of the codes of one position sum to 1. Which axis is that?': [[[0, 1, 0], [2, 0, 0]], [[0, 2, 2], [0, 2, 1]], [[2, 0, 1], [2, 2, 0]]], 'What was drawn first should change the logits of what comes next.': [[[0, 1, 0], [1, 1, 0]], [[0, 2, 0], [0, 2, 2]], [[1, 0, 0], [1, 1, 2]]], 'A kept code was drawn anew.': [[[0, 0, 0], [0, 1, 2]], [[0, 0, 1], [1, 2, 1]], [[1, 1, 0], [2, 1, 0]]], 'The kept codes have to be there before the next one is drawn.': [[[0, 1, 0], [0, 1, 2]], [[0, 2, 1], [1, 2, 1]], [[1, 0, 0], [2, 1, 0]]], 'Code 0 has the first piece of the line: is it the first from the left?': [[[2, 1, 0], [1, 1, 2]], [[1, 2, 0], [0, 1, 2]], [[0, 0, 1], [1, 1, 2]]]}
    arguments = (table, codes, keep, np.arange(6).reshape(2, 3), uniform, 0.5)
    expected = [[[0, 1, 0], [1, 2, 1]], [[0, 2, 0], [0, 2, 2]], [[1, 0, 0], [2, 1, 2]]]
    expect(partial(probe, 'call_with_network', draw), arguments, expected, 'the array of codes', mistakes)
