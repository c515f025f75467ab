from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_small(moved_distances):
    import numpy as np
    from vqlib.coursework import expect
    images, training_images = (np.full((2, 5, 5, 1), -0.5), np.full((3, 5, 5, 1), -0.5))
    images[:, 2, 2] = 0.5
    images[1, 3, 2] = 0.0
    for number, row, column in ((0, 3, 3), (1, 2, 1), (1, 1, 1), (2, 0, 2)):
        training_images[number, row, column] = 0.5
    expected = np.array([[0.0, 1.0, 2.0], [0.25, 0.25, 2.25]]) / 25
    mistakes = {'The images are not moved.': np.array([[2.0, 3.0, 2.0], [2.25, 3.25, 2.25]]) / 25, 'There are nine ways to move an image: also up and to the side at once.': np.array([[2.0, 1.0, 2.0], [1.25, 1.25, 2.25]]) / 25, 'One move is chosen for all images. Each pair has a best one of its own.': np.array([[2.0, 1.0, 2.0], [2.25, 0.25, 2.25]]) / 25, 'Is each difference squared?': np.array([[0.0, 1.0, 2.0], [0.5, 0.5, 2.5]]) / 25, 'That is the root of it. The mean of the squares is what is asked for.': np.sqrt(expected), 'That is the sum over the pixels, not the mean.': expected * 25, 'Zero is grey on this scale. What comes in at a border is background.': np.array([[2.0, 2.25, 2.0], [2.25, 2.5, 2.25]]) / 25, 'A row for each image, a column for each training image.': expected.T, 'That is the nearest one already. All distances are asked for.': expected.min(axis=1)}
    expect(moved_distances, (images, training_images), expected, 'the array of distances', mistakes)
    at_top, at_bottom = np.full((2, 1, 4, 4, 1), -0.5)
    at_top[0, 0, 1] = at_bottom[0, 3, 1] = 0.5
    around = {'What leaves at one border does not come back at the other.': [[0.0]]}
    what = 'the distance between two images with ink at the border'
    expect(moved_distances, (at_top, at_bottom), [[1 / 16]], what, around)
