from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_small(residual_encode):
    import numpy as np
    from vqlib.coursework import expect
    z = np.array([[2.6, 0.1], [4.2, 0.9], [6.8, -0.1]], dtype='float32')
    first = np.array([[0.0, 0.0], [4.0, 0.0]], dtype='float32')
    second = np.array([[0.0, 1.0], [3.0, 0.0], [0.0, -1.0]], dtype='float32')
    mistakes = {'That is one stage after the other. Is the first vector not nearer to another sum?': [[1, 0], [1, 0], [1, 1]], 'Each codebook searched alone, as if the other were not added.': [[1, 1], [1, 1], [1, 1]], 'The code in first stands before the code in second.': [[1, 0], [0, 1], [1, 1]], 'Two codes for each vector: they stand along the last axis.': [[0, 1, 1], [1, 0, 1]], 'That is one name for the pair. Which codes of the two codebooks does it stand for?': [1, 3, 4]}
    expect(residual_encode, (z, first, second), [[0, 1], [1, 0], [1, 1]], 'the array of codes', mistakes)
