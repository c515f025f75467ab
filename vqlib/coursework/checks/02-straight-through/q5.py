from otter.test_files import test_case

OK_FORMAT = False

name = "q5"
points = None

@test_case(points=1, hidden=False)
def test_q5_forward(hard_gumbel):
    import numpy as np
    from vqlib.coursework import expect
    logits = np.array([[0.0, 2.0, 0.0], [2.0, 0.0, 0.0]], 'float32')
    noise = np.array([[0.0, 0.0, 3.0], [0.0, 0.5, 1.0]], 'float32')
    exponentials = np.exp(logits + noise)
    mistakes = {'Is the noise in it?': [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], 'The largest is that of each row, not of each column.': [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]], 'These are the soft choices. Forward, they are hard.': exponentials / exponentials.sum(axis=1, keepdims=True), 'These are codes. Each is to be a row with a single 1.': [2, 0]}
    expected = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    expect(hard_gumbel, (logits, noise, 1.0), expected, 'the output', mistakes, tolerance=1e-05)
