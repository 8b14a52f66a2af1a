"""Where a run happens: devices, hosts, and the processes that share a job."""
