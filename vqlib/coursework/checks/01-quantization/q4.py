from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_small(residual_encode):
    import numpy as np
    from vqlib.coursework import expect
    z = np.array([[4.2, 0.9], [0.8, -0.1], [4.1, -1.2]], dtype='float32')
    first = np.array([[0.0, 0.0], [4.0, 0.0]], dtype='float32')
    second = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0]], dtype='float32')
    mistakes = {'The second codebook sees what the first one leaves over, not the vector itself.': [[1, 1], [0, 1], [1, 1]], 'The remainder has the wrong sign.': [[1, 2], [0, 0], [1, 0]], 'Two codes for each vector: they stand along the last axis.': [[1, 0, 1], [0, 1, 2]]}
    expect(residual_encode, (z, first, second), [[1, 0], [0, 1], [1, 2]], 'the array of codes', mistakes)
