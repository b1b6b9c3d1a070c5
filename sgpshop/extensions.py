"""The Flask extensions, made once and bound to the app by create_app."""

from __future__ import annotations

from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from htmx_flask import Htmx

from sgpshop.models import Base

#: Objects stay readable after a commit, so no transaction is held while we wait for SMBC-GP (P8).
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
csrf = CSRFProtect()
htmx = Htmx()
login_manager = LoginManager()
