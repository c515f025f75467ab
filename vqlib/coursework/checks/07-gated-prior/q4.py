from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_small(sees):
    import numpy as np
    from vqlib.coursework import call

    def pairs(view, shape):
        view = np.asarray(view)
        if view.shape != shape:
            raise AssertionError(f'The answer should have the shape {shape}, but it has {view.shape}.')
        return {(int(i), int(j)) for i, j in np.argwhere(view)}
    one = np.zeros((3, 3))
    one[0, 2] = 1
    found = pairs(call(sees, 2, 3, [one]), (6, 6))
    if found != {(3, 1), (4, 2)}:
        hints = {frozenset({(1, 3), (2, 4)}): 'A row of the answer is a position, a column a code: it is turned over.', frozenset({(4, 0), (5, 1)}): 'The mask is mirrored: its last column is for the place to the right.', frozenset({(0, 4), (1, 5)}): 'The mask is upside down: its first row is for what is above.', frozenset({(2, 0), (3, 1), (4, 2), (5, 3)}): 'A path leads around the border. In raster order neighbours can lie at opposite ends.'}
        otherwise = 'Position 3, the first in the second row, sees code 1, and position 4 code 2.'
        words = hints.get(frozenset(found), otherwise)
        raise AssertionError(f'With one layer that looks above and to the right on a 2 x 3 grid: {words}')
    found = pairs(call(sees, 3, 3, [one, one]), (9, 9))
    if found != {(6, 2)}:
        words = 'one layer sees what the layer below saw from there: two rows up, two columns to the right.'
        raise AssertionError(f'With two such layers on a 3 x 3 grid only position 6 sees a code, code 2: {words}')
    found = pairs(call(sees, 2, 2, []), (4, 4))
    if found != {(n, n) for n in range(4)}:
        raise AssertionError('Without a layer each position sees its own code, and no other.')
