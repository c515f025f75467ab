from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_small(coder_bits):
    import numpy as np
    from vqlib.coursework import expect
    sizes, totals = (np.array([100, 1, 3, 1]), np.array([150, 200, 7, 255]))
    width, paid, rounded = (65536, 0.0, 0.0)
    for size, total in zip(sizes.tolist(), totals.tolist(), strict=True):
        after = width // total * size
        paid += np.log2(width / after)
        rounded += np.ceil(np.log2(width / after))
        width = after * 256 if after < 256 else after
    mistakes = {'That is the sum of -log2 p. What the division rounds away is missing.': np.log2(totals / sizes).sum(), 'An arithmetic coder does not round for each symbol.': rounded, 'Those are nats.': paid * np.log(2), 'That is the mean.': paid / 4, 'It has the wrong sign.': -paid}
    expect(coder_bits, (sizes, totals, 2), paid, 'the cost of four symbols', mistakes, tolerance=1e-07)
