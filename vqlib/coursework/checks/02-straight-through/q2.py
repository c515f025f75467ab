from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_at_one(shared_gradient):
    import numpy as np
    from vqlib.coursework import compare, expect, probe
    z, z_q = (np.array([[1.0, 2.0], [0.0, -1.0]], 'float32'), np.array([[3.0, 1.0], [0.5, -2.0]], 'float32'))
    forward = {'The decoder must see the codeword on the way forward. It sees z.': z}
    expect(shared_gradient, (z, z_q, 1.0), z_q, 'what the decoder sees at alpha = 1', forward)
    weights = np.array([[1.0, -2.0], [3.0, 0.5]], 'float32')
    at_z, at_z_q, _ = probe('pullback', shared_gradient, weights, z, z_q, 1.0)
    mistakes = {'No gradient arrives at z: what stands still, and what does not?': 0 * weights, 'It has the wrong sign. Which part of the sum has the stop?': -weights}
    compare(at_z, weights, 'the gradient on z at alpha = 1', mistakes)
    reached = {'It arrives at the codeword as well. That is what the stop is there to prevent.': weights}
    compare(at_z_q, 0 * weights, 'the gradient on z_q at alpha = 1', reached)
