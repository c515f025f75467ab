from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_small(unmoved):
    import numpy as np
    from vqlib.coursework import expect
    z = np.array([[0.2, 0.0], [1.2, 0.5], [3.3, 0.0], [0.0, -1.0], [2.5, 1.6]])
    codebook = np.array([[0.0, 0.0], [3.0, 0.0], [2.0, 2.5]])
    push = np.array([1.0, 0.0])
    mistakes = {'It is the codeword that may stay; the vector itself moves.': [False] * 5, 'Is it the other way round: True where nothing changes?': [False, True, False, False, True], 'One answer for each vector, so the minimum runs over the codewords.': [True, False, True]}
    expect(unmoved, (z, codebook, push), [True, False, True, True, False], 'the array of answers', mistakes)
