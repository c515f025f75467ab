from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_codes(to_codes):
    import numpy as np
    from vqlib.coursework import expect
    z = np.array([[0.2, 0.1], [-0.1, -2.0], [3.0, 3.0], [-3.0, 0.3], [0.7, -0.6]], 'float32')
    mistakes = {'The last entry counts ones. Here the first one does.': [6, 1, 11, 4, 2], 'That is equation 6.5, which shifts by half a step where the number of levels is even.': [7, 6, 11, 1, 9], 'That is equation 6.5, with its half step, read as in equation 6.6.': [6, 2, 11, 4, 3], 'Is the entry squashed before it is rounded?': [7, 3, 11, 1, 9], 'Four levels have three steps between them.': [8, 6, 15, 2, 10], 'The nearest level, not the one below.': [4, 3, 7, 1, 6], 'Do the levels count from 0?': [0, -1, 4, -3, 2]}
    expect(to_codes, (z, np.array([4, 3])), [7, 3, 11, 1, 6], 'the array of codes', mistakes)

@test_case(points=0, hidden=False)
def test_q4_vectors(to_vectors):
    import numpy as np
    from vqlib.coursework import expect
    mistakes = {'The last entry counts ones. Here the first one does.': [[-1, -1], [1, 0], [1, 1], [-1, 0]], 'Those are the numbers of the levels. The levels lie between -1 and 1.': [[0, 0], [2, 1], [3, 2], [1, 1]], 'Four levels have three equal steps from -1 to 1, and both ends belong to them.': [[-1, -1], [0, 0], [0.5, 1], [-0.5, 0]]}
    expected = [[-1, -1], [1 / 3, 0], [1, 1], [-1 / 3, 0]]
    expect(to_vectors, (np.array([0, 7, 11, 4]), np.array([4, 3])), expected, 'the array of vectors', mistakes)

@test_case(points=1, hidden=False)
def test_q4_gradient(quantize):
    import numpy as np
    from vqlib.coursework import compare, expect, probe
    z, levels, weights = (np.array([[0.0, 1.0]], 'float32'), np.array([3, 4]), np.array([[2.0, -3.0]], 'float32'))
    forward = {'Forward, each entry is one of the levels. This is tanh z, not rounded.': np.tanh(z)}
    expect(quantize, (z, levels), [[0.0, 1.0]], 'the quantized vector', forward)
    mistakes = {'No gradient arrives at z: rounding has none. What stands still, and what does not?': [[0.0, 0.0]], 'It has the wrong sign. Which part of the sum has the stop?': [[-2.0, 1.259923]], 'It passes the rounding, as it should, and tanh as well, which has a slope.': [[2.0, -3.0]]}
    found = probe('pullback_first', quantize, weights, z, levels)
    compare(found, [[2.0, -1.259923]], 'the gradient on z', mistakes, tolerance=0.0001)
