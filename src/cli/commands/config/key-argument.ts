// The argument KEY, which several commands share.
import type { Command } from "commander";

export function addKeyArgument(command: Command): void {
  command.argument(
    "<key>",
    "section.key, shares.NAME.key, or a short name: lsof-recheck, auto-failback (names with dots in quotes)",
  );
}
