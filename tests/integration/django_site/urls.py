"""The password reset, and a view that fails."""

from django.contrib.auth import views
from django.http import HttpRequest
from django.urls import path


def fails(request: HttpRequest) -> None:
    """Raise, so that Django tells its admins."""
    raise RuntimeError("on purpose")


urlpatterns = [
    path("fails/", fails),
    path(
        "reset/",
        views.PasswordResetView.as_view(
            success_url="/done/",
            email_template_name="reset.txt",
            subject_template_name="subject.txt",
        ),
    ),
]
