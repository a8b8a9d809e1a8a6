# make run     two complete hotlines on this machine, and one real call handed over
# make status  where everything is, as JSON
# make stop    end all of it
# make test    every check and every test
# make traffic 200 calls as both hotlines get them, played by SIPp, and a verdict; RATE= calls a second,
#              CALLS= or HOURS= how long, SEED= for the same plan again
# make chaos   2,000 calls while 200 faults kill, freeze, cut and restart parts of both hotlines, and a verdict;
#              CALLS=, RATE= calls a second, FAULTS=, SEED= for the same plan and script again
# make fuzz    10,000 hostile inputs at every door, and a table; INPUTS= other than 10,000, SEED= for the same
#              inputs again, DOORS= these only
# make bench   measured speed side by side with Asterisk without us, quick (BENCH=quick, 3 minutes) or BENCH=full
#              (for releases, two hours; BENCH_DAY_HOURS=2 plays less of a day); ONLY="rate codec" a part of it
# make check   ruff and mypy alone
# make lock    write the lock files anew, after a change in pyproject.toml (needs uv)
#
# Run as root on Debian 12 or newer; what is missing is installed first (docker/setup.sh), into
# ~/.cache/hotline-telephony or where TELEPHONY_CACHE says.

setup := docker/setup.sh
MAKEFLAGS += --no-print-directory

.PHONY: help run status stop test check traffic chaos fuzz bench lock
help:
	@sed -n 's/^# \{0,1\}//p' Makefile

run:
	@$(setup) python -m tests.lab run

status stop:
	@$(setup) --as-is python -m tests.lab $@

test check:
	@$(setup) python -m tests.lab.suite $@

traffic:
	@$(setup) python -m tests.traffic $(if $(RATE),--rate $(RATE)) $(if $(CALLS),--calls $(CALLS)) \
		$(if $(HOURS),--hours $(HOURS)) $(if $(SEED),--seed $(SEED))

chaos:
	@$(setup) python -m tests.chaos $(if $(RATE),--rate $(RATE)) $(if $(CALLS),--calls $(CALLS)) \
		$(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED))

fuzz:
	@$(setup) python -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) $(DOORS)

bench:
	@$(setup) python -m tests.bench $(if $(filter full,$(BENCH)),--full) $(if $(ONLY),--only $(ONLY))

lock:
	docker/lock.sh
