from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_small(round_bits):
    import numpy as np
    from vqlib.coursework import expect
    values = np.array([16.03, 16.1, -3.3, 0.0, 1001.5, 15.95])
    expected = [16.0, 16.125, -3.296875, 0.0, 1000.0, 15.9375]
    mistakes = {'One bit too many: how many bits does a number between 0.5 and 1 need?': [16.0, 16.125, -3.296875, 0.0, 1002.0, 15.9375], 'It is cut off, not rounded to the nearest.': [16.0, 16.0, -3.296875, 0.0, 1000.0, 15.9375], 'These are digits behind the decimal point, not significant bits.': list(values), 'Zero has no logarithm; it stays zero.': [16.0, 16.125, -3.296875, np.nan, 1000.0, 15.9375]}
    expect(round_bits, (values, 8), expected, 'the array of rounded numbers', mistakes, tolerance=1e-09)
