"""From a folder of images and lists to the network's inputs."""
