from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_small(three_terms):
    import numpy as np
    from vqlib.coursework import expect
    x = np.array([[1, 0], [0, 2], [-1, 1]], 'float32')
    encoder, decoder = (np.array([[1, 0], [1, 2]], 'float32'), np.array([[0.5, 0], [1, 1]], 'float32'))
    codebook = np.array([[2, 3], [0, -1], [1, 1]], 'float32')
    mistakes = {'beta is on the codebook loss. Which of the two does it weigh?': [1.361111, 0.333333, 0.666667], 'Both of the last two carry beta.': [1.361111, 0.333333, 0.333333], 'Where is beta?': [1.361111, 0.666667, 0.666667], 'Where is the variance of the data?': [4.083333, 0.666667, 0.333333], 'It is the variance of all training images, not that of a batch.': [4.454545, 0.666667, 0.333333], 'The variance divides the first term alone.': [1.361111, 0.222222, 0.111111], 'The variance divides, not its square root.': [2.357513, 0.666667, 0.333333], 'These are sums; each term is a mean over all entries.': [8.166667, 4.0, 2.0], 'Does each mean run over the entries, or over the vectors?': [2.722222, 1.333333, 0.666667], 'The decoder sees z_e. On the way forward it should see the codewords.': [2.180556, 0.666667, 0.333333], 'The minimum is over the codewords: one code for each vector.': [2.833333, 1.333333, 0.666667]}
    arguments = (x, encoder, codebook, decoder, 0.5, 3.0)
    expect(three_terms, arguments, [1.361111, 0.666667, 0.333333], 'the triple of losses', mistakes)
