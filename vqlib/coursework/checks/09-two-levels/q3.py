from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_small(exchange_table):
    import numpy as np
    from vqlib.coursework import expect
    images, labels = (np.reshape([0.0, 1.0, 3.0, 2.0], (4, 1, 1, 1)), np.array([5, 5, 5, 7]))
    decoded = np.array([[0.0, 2, 1, 3], [0, 1, 1, 4], [2, 3, 4, 1], [2, 0, 1, 2]]).reshape(4, 4, 1, 1, 1)
    expected = np.array([[2.5, 17 / 6], [4.5, 7 / 6]])
    mistakes = {'The rows are exchanged. If the top comes from another image, whose bottom codes are they, and which image should they give?': [[4.5, 7 / 6], [2.5, 17 / 6]], 'The columns are exchanged.': [[17 / 6, 2.5], [7 / 6, 4.5]], 'An image with its own codes is no exchange: leave out i = j.': [[2.5, 1.8], [4.5, 0.8]], 'It is a mean over all pairs of a kind, not over images first.': [[2.75, 17 / 6], [71 / 12, 7 / 6]], 'These are sums, not means.': [[15.0, 17.0], [27.0, 7.0]]}
    expect(exchange_table, (images, decoded, labels), expected, 'the table', mistakes)
