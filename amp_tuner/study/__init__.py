"""A study's steps: propose, plan, measure, judge, confirm, publish; and what comes afterwards."""
