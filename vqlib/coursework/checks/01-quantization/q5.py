from otter.test_files import test_case

OK_FORMAT = False

name = "q5"
points = None

@test_case(points=1, hidden=False)
def test_q5_small(entropy_bits):
    import numpy as np
    from vqlib.coursework import expect
    codes = np.array([[0, 0, 1, 3], [0, 0, 1, 3]])
    mistakes = {'Those are nats: with the natural logarithm. In bits, the logarithm is that to the base 2.': 1.5 * np.log(2), 'Each logarithm is weighted by its share; it is no plain mean over the codes.': 5 / 3, 'That is the perplexity, or 2 to the entropy.': 2 ** 1.5, 'That is what a coder needs which takes all codes for equally frequent.': 2.0, 'The sum of p log p is below zero; the entropy is not.': -1.5}
    expect(entropy_bits, (codes, 4), 1.5, 'the entropy', mistakes)
