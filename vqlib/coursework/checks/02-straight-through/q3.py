from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_values(masked_losses):
    import numpy as np
    from vqlib.coursework import expect
    z = np.array([[1.0, 2.0], [0.0, 1.0], [5.0, 5.0]], 'float32')
    e = np.array([[2.0, 2.0], [0.0, -1.0], [0.0, 0.0]], 'float32')
    mistakes = {'The two are in the wrong order, or beta is on the codebook loss. It weighs the commitment.': [0.3125, 1.25], 'Both carry beta. What weighs the codebook loss?': [0.3125, 0.3125], 'Where is beta?': [1.25, 1.25], 'The mean is taken over the padding, too.': [5 / 6, 5 / 24], 'Does the mean run over the entries, or over the vectors?': [2.5, 0.625], 'The padding counts.': [55 / 6, 55 / 24]}
    expect(masked_losses, (z, e, np.array([1.0, 1.0, 0.0], 'float32'), 0.25), [1.25, 0.3125], 'the pair', mistakes)
