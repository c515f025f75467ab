from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_small(bits_at):
    import numpy as np
    from vqlib.coursework import expect
    bits, psnr = (np.array([1600.0, 100.0, 400.0]), np.array([40.0, 10.0, 20.0]))
    mistakes = {'It is half-way from 20 to 40 decibels, and in logarithms 800 is half-way from 400 to 1,600.': 1000.0, 'The qualities next to it are those with 20 and 40 decibels.': 400.0, 'That is the first quality that is good enough. What would one between take?': 1600.0, 'That line goes from the lowest to the highest quality.': 100.0 * 16 ** (2 / 3), 'Is the PSNR -10 log10 of the error?': np.nan}
    expect(bits_at, (bits, psnr, 0.001), 800.0, 'the bits at an error of 0.001, 30 decibels', mistakes)
    expect(bits_at, (bits, psnr, 0.01), 400.0, 'the bits at an error of 0.01, which was tried')
