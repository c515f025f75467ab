from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_influence(first_layer):
    import numpy as np
    from vqlib.coursework import call
    height, width = (5, 6)
    row, column = np.divmod(np.arange(height * width), width)
    rows, columns = (row[None] - row[:, None], column[None] - column[:, None])
    views = {'left': (np.abs(rows) <= 3) & (columns >= -3) & (columns <= -1), 'above': (columns == 0) & (rows >= -3) & (rows <= -1)}
    grids = np.eye(height * width, dtype='float32').reshape(-1, height, width, 1)
    for name, view in views.items():
        kernels = [np.full((7, 3, 1, 2), name == 'left', 'float32'), np.full((3, 1, 1, 2), name == 'above', 'float32')]
        output = np.asarray(call(first_layer, grids, *kernels))
        wanted = (len(grids), height, width, 2)
        if output.shape != wanted:
            raise AssertionError(f'The output should have the shape {wanted}, but it has {output.shape}.')
        seen = np.abs(output[..., 0].reshape(len(grids), -1).T) > 1e-06
        for wrong, words in ((seen & (columns > 0), 'sees columns to its right, which come after it.'), (seen & (rows == 0) & (columns == 0), 'sees itself. How far has the input to be moved?'), (seen & (columns == 0) & (rows > 0), 'sees what is below it in its own column, which comes after it.'), (view & ~seen & (rows == 0) & (columns == -1), 'misses the column next to it: one column too far.'), (view & ~seen & (columns == 0) & (rows == -1), 'misses the code just above it: one row too far.'), (seen & ~view, 'sees more than it was meant to, though nothing that comes after.'), (view & ~seen, 'misses some of the places that it should see.')):
            if wrong.any():
                raise AssertionError(f'With the kernel `{name}` alone, a position {words}')
