"""Where everything is; the password reset is Django's own, with a form that makes it urgent."""

from django.contrib import admin
from django.contrib.auth.views import PasswordResetView
from django.urls import include, path

from shop import views

urlpatterns = [
    path("", views.home, name="home"),
    path("contact", views.contact, name="contact"),
    path("order", views.order, name="order"),
    path("newsletter", views.send_newsletter, name="send_newsletter"),
    path("newsletter/<str:issue>", views.newsletter, name="newsletter"),
    path(
        "accounts/password_reset/",
        PasswordResetView.as_view(form_class=views.UrgentPasswordResetForm),
        name="password_reset",
    ),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
]
