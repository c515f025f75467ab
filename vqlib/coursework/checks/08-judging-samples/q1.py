from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=0, hidden=False)
def test_q1_small(frechet):
    import numpy as np
    from vqlib.coursework import expect
    features = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
    others = np.array([[-1.0, 2.0], [3.0, 1.0], [7.0, 0.0]])
    mistakes = {'Is the last trace taken twice?': 26.0, 'Where are the traces of the two covariances?': 4.0, 'Where is the distance between the two means?': 13.0, 'The distance between the means is squared, too.': 13 + np.sqrt(10), 'The root of the product is missing.': 11.0, 'That takes each feature by itself. How they vary together counts, too.': 19.0, 'The root of a matrix is not the matrix of the roots of its entries.': np.nan, 'That is its root. The squared distance is what is asked for.': np.sqrt(23), 'A covariance is divided by N - 1, as np.cov does it.': 10 + 13 * 2 / 3}
    expect(frechet, (features, others), 23.0, 'the squared distance', mistakes)

@test_case(points=1, hidden=False)
def test_q1_line(at_infinity):
    import numpy as np
    from vqlib.coursework import expect
    sizes, distances = (np.array([10, 40, 20]), np.array([8.0, 4.25, 5.5]))
    mistakes = {'That is how steep the line is. Where does it end?': 50.0, 'That is a line against N, not against 1 / N.': 8.625, 'That is the distance at the largest N. It still holds some of the floor.': 4.25, 'That is the mean. None of the distances is measured at infinity.': np.mean(distances)}
    expect(at_infinity, (sizes, distances), 3.0, 'the distance at infinity', mistakes)
