from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_small(bits_given_left):
    import numpy as np
    from vqlib.coursework import expect
    codes = np.array([[[0, 0, 1, 2], [0, 2, 1, 1], [1, 0, 0, 2]]])

    def table(left, right):
        return np.bincount(np.ravel(left) * 3 + np.ravel(right), minlength=9).reshape(3, 3) / np.size(left)

    def entropy(p):
        return -np.sum(p[p > 0] * np.log2(p[p > 0]))

    def given(left, right):
        return entropy(table(left, right)) - entropy(table(left, right).sum(axis=1))
    pairs, row = (table(codes[:, :, :-1], codes[:, :, 1:]), codes.ravel())
    bits = given(codes[:, :, :-1], codes[:, :, 1:])
    mistakes = {'Those are nats: with the natural logarithm. In bits, the logarithm is that to the base 2.': bits * np.log(2), 'That is what both codes of a pair cost together.': entropy(pairs), 'That is what the code costs when nothing is known of its neighbour.': entropy(pairs.sum(axis=0)), 'That is what knowing the left code saves, not what still has to be paid.': entropy(pairs.sum(axis=0)) - bits, 'There the right code is known, and the left one is paid for.': entropy(pairs) - entropy(pairs.sum(axis=0)), 'That is the neighbour above: along the wrong axis.': given(codes[:, :-1], codes[:, 1:]), 'The last column has no right neighbour. Did it get the first?': given(codes, np.roll(codes, -1, axis=2)), 'The last code of a row and the first of the next are no neighbours.': given(row[:-1], row[1:]), 'Each left code counts by how often it occurs; it is no plain mean over the left codes.': np.mean([entropy(shares / shares.sum()) for shares in pairs]), 'The sum of p log p is below zero; what a code costs is not.': -bits, 'That is a perplexity, or 2 to the bits.': 2 ** bits}
    expect(bits_given_left, (codes, 3), bits, 'the number of bits', mistakes)
