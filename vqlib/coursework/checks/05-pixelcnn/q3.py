from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_small(blind_pairs):
    import numpy as np
    from vqlib.coursework import expect
    a, b = (np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]]), np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]]))
    mistakes = {'These are the pairs that it sees.': 155, 'Each layer sees what the one before it has seen. Is that passed on?': 135, 'It sees nothing at all. Is the kernel upside down? Its first row looks at the row above.': 190, 'Nothing passes around the border: what leaves the grid at the left does not come back at the right.': 4, 'Pairs in which j comes later are not legal; a network that does not see them is right.': 245, 'A position and itself are no legal pair.': 55}
    expect(blind_pairs, ([a, b, b], np.arange(20).reshape(4, 5)), 35.0, 'the number of blind pairs', mistakes)
