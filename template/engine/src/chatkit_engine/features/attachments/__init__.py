"""Attachments: files and images in messages."""
