"""What the shop remembers."""

from django.db import models


class Order(models.Model):
    """An order; its number is made with the form, so that a second click is no second order."""

    number = models.CharField(max_length=40, unique=True)
    address = models.EmailField()

    def __str__(self) -> str:
        return self.number


class Sending(models.Model):
    """A mail of a newsletter, by its id in the queue."""

    issue = models.CharField(max_length=40)
    mail = models.CharField(max_length=32, unique=True)

    def __str__(self) -> str:
        return self.mail
