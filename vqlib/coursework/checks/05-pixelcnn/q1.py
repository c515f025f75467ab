from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_small(column_mask):
    from vqlib.coursework import expect
    a = [[0.0, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]]
    b = [[0.0, 1, 1], [0, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]]
    mistakes = {'Mask A hides the position itself: it is what the network has to predict there.': b, 'That is the mask for writing row by row. Turn the page.': [[1, 1, 1]] * 2 + [[1, 0, 0]] + [[0, 0, 0]] * 2, 'The first column is at the right. On which side is what has been written?': [[1, 1, 0]] * 2 + [[1, 0, 0]] * 3, 'It shows what is still to be written.': [[1, 0, 0]] * 3 + [[1, 1, 0]] * 2, 'It shows what is still to be written, and the position itself.': [[1, 0, 0]] * 2 + [[1, 1, 0]] * 3, 'In its own column, a position sees what is above it.': [[0, 0, 1]] * 5, 'Height comes first, then width.': [[0, 0, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]}
    expect(column_mask, (5, 3, 'A'), a, 'mask A', mistakes)
    hidden_centre = {'All layers but the first may look at their own position: mask B lets it through.': a}
    expect(column_mask, (5, 3, 'B'), b, 'mask B', hidden_centre)
