from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_small(judge):
    import numpy as np
    from vqlib.coursework import call, compare
    batches = [(np.zeros((3, 2, 2, 1)), np.full((3, 2, 2, 1), 0.1), np.array([[[0, 0]], [[0, 0]], [[1, 1]]])), (np.zeros((1, 2, 2, 1)), np.full((1, 2, 2, 1), 0.5), np.array([[[0, 2]]]))]
    answer = call(judge, batches, 6, 0.1)
    if np.shape(answer) != (3,):
        raise AssertionError('judge should return three numbers: reconstruction loss, codes in use, perplexity.')
    mistakes = {'The last batch is smaller: a mean over batches gives its images too much weight.': 1.3, 'Where is the variance of the data?': 0.07, 'Is each difference squared?': 2.0, 'Only one batch is in it.': 2.5}
    compare(answer[0], 0.7, 'the reconstruction loss', mistakes)
    mistakes = {'A code that occurs in both batches is one code.': 4, 'That is a batch, or a mean over batches. A code counts if it occurs anywhere in the dataset.': 2, 'How many of them ever occur?': 6}
    compare(answer[1], 3.0, 'the number of codes in use', mistakes)
    mistakes = {'That is the mean over batches. Count all codes first.': 1.944941, 'Count all codes first, then take one perplexity.': 1.917411, 'e to the entropy in bits mixes two bases.': 3.664878, '2 to the entropy in nats mixes two bases.': 1.866397, 'That is the entropy.': 0.900256, 'That is the entropy, in bits.': 1.298795, 'Zero times the logarithm of zero counts as zero.': np.nan}
    compare(answer[2], 2.460233, 'the perplexity', mistakes)
