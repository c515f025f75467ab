from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_small(typical_grid):
    import numpy as np
    from vqlib.coursework import expect
    codes = np.array([[[7, 5], [0, 3]], [[7, 5], [0, 3]], [[0, 5], [9, 8]], [[1, 5], [9, 1]], [[2, 5], [9, 6]]])
    mistakes = {'That is a mean. A code is a name, and names have no mean.': codes.mean(axis=0), 'That is a mean, rounded. A code is a name, and names have no mean.': codes.mean(axis=0).round(), 'That is a mean, cut off. A code is a name, and names have no mean.': codes.mean(axis=0).astype('int64'), 'That is a median. It sorts the codes by number, but a code is a name.': np.median(codes, axis=0), 'That is how often it occurs, not which code it is.': [[2, 5], [3, 2]], 'Is the count taken for each cell on its own, or over all cells at once?': 5, 'That code occurs most often anywhere. Is the count taken for each cell on its own?': np.full((2, 2), 5), 'The images are to be counted, cell by cell. These are counts along another axis.': [np.argmax(np.bincount(grid.ravel(), minlength=10)) for grid in codes]}
    expect(typical_grid, (codes, 10), [[7, 5], [9, 3]], 'the grid', mistakes)
