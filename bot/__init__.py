"""A Slack bot that saves, lists and restores etcd snapshots of RKE clusters."""
