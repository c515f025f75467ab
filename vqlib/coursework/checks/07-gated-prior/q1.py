from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_small(told_gate):
    import numpy as np
    from vqlib.coursework import expect

    def gate(values, openness):
        return np.tanh(values) / (1 + np.exp(-openness))
    rng = np.random.default_rng(0)
    x, weights = (rng.normal(size=(2, 2, 2, 4)).astype('float32'), rng.normal(size=(3, 4)).astype('float32'))
    labels = np.array([2, 0])
    told = np.stack([x[0] + weights[2], x[1] + weights[0]])
    along_rows = np.stack([x[:, 0] + weights[2], x[:, 1] + weights[0]], axis=1)
    along_columns = np.stack([x[:, :, 0] + weights[2], x[:, :, 1] + weights[0]], axis=2)
    after = gate(x[..., :2], x[..., 2:]) + np.stack([weights[2, :2], weights[0, :2]])[:, None, None]
    mistakes = {'The halves are swapped: the values come first, then what opens the gate.': gate(told[..., 2:], told[..., :2]), 'These are every other channel; a and b are the first and the second half.': gate(told[..., ::2], told[..., 1::2]), 'The class counts before tanh and sigmoid, not after.': after, 'Each image has a class of its own, the same at all of its places. Along which axis of x do the images lie?': gate(along_columns[..., :2], along_columns[..., 2:]), 'Each row of the grids got a class. It belongs to an image, at all places.': gate(along_rows[..., :2], along_rows[..., 2:]), 'Only the values are told the class. The gate is, too.': gate(told[..., :2], x[..., 2:]), 'Only the gate is told the class. The values are, too.': gate(x[..., :2], told[..., 2:]), 'Where is the class?': gate(x[..., :2], x[..., 2:])}
    expected = gate(told[..., :2], told[..., 2:])
    expect(told_gate, (x, labels, weights), expected, 'the array of gated features', mistakes)
