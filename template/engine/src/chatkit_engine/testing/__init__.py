"""Test support for applications: a fake model API, the running application, and databases.

The pytest plugin `chatkit_engine.testing.plugin` has the fixtures. Enable it with
`-p chatkit_engine.testing.plugin`, and name the application's package in the ini option
`chatkit_app`.
"""
