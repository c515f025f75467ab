from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_small(bits_given_left):
    import numpy as np
    from vqlib.coursework import expect
    codes = np.array([[[0, 0, 1, 2], [0, 2, 1, 1], [1, 0, 0, 2]]])
    bits = 1.3738364
    mistakes = {'Those are nats: with the natural logarithm. In bits, the logarithm is that to the base 2.': bits * np.log(2), 'That is what both codes of a pair cost together.': 2.7254806, 'That is what the code costs when nothing is known of its neighbour.': np.log2(3), 'That is what knowing the left code saves, not what still has to be paid.': np.log2(3) - bits, 'There the right code is known, and the left one is paid for.': 1.1405181, 'That is the neighbour above: along the wrong axis.': 1.4387219, 'The last column has no right neighbour. Did it get the first?': 1.3637107, 'The last code of a row and the first of the next are no neighbours.': 1.4190582, 'Each left code counts by how often it occurs; it is no plain mean over the left codes.': 1.0356302, 'The sum of p log p is below zero; what a code costs is not.': -bits, 'That is a perplexity, or 2 to the bits.': 2 ** bits}
    expect(bits_given_left, (codes, 3), bits, 'the number of bits', mistakes)
