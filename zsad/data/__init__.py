"""Images and datasets: reading, preprocessing, dataset layouts."""
