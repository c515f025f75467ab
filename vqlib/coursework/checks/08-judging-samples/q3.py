from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_small(density_and_coverage):
    import numpy as np
    from vqlib.coursework import expect
    real, samples = (np.array([[0.0], [1.0], [4.0], [9.0]]), np.array([[2.0], [8.0], [7.0], [30.0], [1.5]]))

    def both(place=1, by=1, own=False, strict=False, some=False):
        radii = np.sort(np.abs(real - real.T), axis=1)[:, place]
        if own:
            radii = np.sort(np.abs(samples - samples.T), axis=1)[:, place, None]
        distances = np.abs(samples - real.T)
        inside = distances < radii if strict else distances <= radii
        return [np.mean(inside.any(axis=1)) if some else inside.sum() / len(samples) / by, np.mean(inside.any(axis=0))]
    expected = both()
    mistakes = {'Each image is its own nearest neighbour, and does not count: the radius is to another one.': both(place=0), 'That is a place too far: at place 0 of a sorted row stands the image itself.': both(place=2), 'The edge of a ball belongs to it.': both(strict=True), 'The balls lie around the real images, not around the samples.': both(own=True), 'That is precision, whether there is a ball. Density counts in how many balls a sample lies.': both(some=True), 'Density comes first, then coverage.': expected[::-1], 'Density is a mean over the samples, not over the real images.': [expected[0] * 5 / 4, expected[1]], 'Coverage is a share of the real images.': [expected[0], np.sum(expected[1] * 4) / 5]}
    expect(density_and_coverage, (samples, real, 1), expected, 'density and coverage for k = 1', mistakes)
