// What `mountaineer fleet keys rotate operator` does: makes the next key of the operator, and has all machines take it.

import { fleetOff } from "../../api/gateway-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { showJson } from "../input/options.ts";
import { readMembers, tellSaved } from "../sessions/config-members.ts";
import { askEdits, changeConfig } from "../sessions/config-session.ts";
import { withDaemon } from "../sessions/control-session.ts";
import { paintFor } from "../views/terminal-style.ts";
import { homeOptions } from "./home-options.ts";
import { type Answer, answers, LINKED, nextRevision, readSigner } from "./layer-commands.ts";

/** `stolen`: the old key is known to others, and signs nothing any more. Resolves with the exit code. */
export async function rotateOperator(context: CommandContext, stolen: boolean): Promise<number> {
  const { withKeys } = await import("../../fleet/way-in/fleet-folder.ts");
  return withKeys(homeOptions(context), context.signal, () =>
    stolen ? replaceStolen(context) : handOver(context),
  );
}

interface Outcome {
  /** `U…`. */
  readonly operator: string;
  readonly revision: number;
  readonly machines: readonly Answer[];
}

async function handOver(context: CommandContext): Promise<number> {
  const { operatorKeys, nextOperatorKey, settledOperatorKey } = await import(
    "../../fleet/way-in/operator-key.ts"
  );
  const { userKey } = await import("../../fleet/keys/nkey.ts");
  const { signHandover } = await import("../../fleet/layer/handovers.ts");
  const { signLayer } = await import("../../fleet/layer/signed-layer.ts");
  const options = homeOptions(context);
  return withDaemon(context, LINKED, async (daemon) => {
    const pending = (await operatorKeys(options)).next;
    const { key, handovers, nextAuthority, report } = await readSigner(context, daemon);
    const line = report.line ?? userKey(key);
    if (pending?.equals(key) === true) {
      context.note("the exchange had been cut off, and is done now");
      const revision = report.newest?.revision ?? report.accepted;
      return tell(context, {
        operator: userKey(key),
        revision,
        machines: await answers(context, daemon, revision),
      });
    }
    const next = await nextOperatorKey(options, await operatorKeys(options));
    const operator = userKey(next);
    const time = new Date(systemClock.wallMs()).toISOString();
    const number = (handovers.at(-1)?.number ?? 0) + 1;
    const handover = signHandover({ to: operator, number, time }, key);
    const revision = nextRevision(report);
    const { name: by } = await daemon.ask("fleet", null, context.signal);
    const text = await textThatCounts(context.home, line, report);
    const document = signLayer({ revision, time, by, text }, next, [...handovers, handover], nextAuthority);
    const expected_sequence = report.newest?.sequence ?? 0;
    await daemon.ask("putFleetLayer", { document, expected_sequence }, context.signal);
    const counts = await settledOperatorKey(options, line);
    if (!counts.equals(next)) {
      throw new MountaineerError("fleet_unreachable", "this machine's daemon has not taken the new key yet", {
        hint: "type the same again",
        retry: "later",
      });
    }
    return tell(context, { operator, revision, machines: await answers(context, daemon, revision) });
  });
}

/** Of the newest revision; where something else stands there, of what this machine accepted last. */
export async function textThatCounts(
  home: string,
  line: string,
  {
    newest,
    text,
    accepted,
  }: { newest: { revision: number | null } | null; text: string | null; accepted: number },
): Promise<string> {
  if (text !== null && (newest?.revision ?? 0) >= accepted) return text;
  const { readKeptLayer } = await import("../../fleet/layer/kept-layer.ts");
  return (await readKeptLayer(home, line)).layer?.text ?? "";
}

/** The line of this machine's file first: the next key counts from then on, and what was cut off goes on by it. */
async function replaceStolen(context: CommandContext): Promise<number> {
  const { operatorKeys, nextOperatorKey, settledOperatorKey } = await import(
    "../../fleet/way-in/operator-key.ts"
  );
  const { userKey } = await import("../../fleet/keys/nkey.ts");
  const options = homeOptions(context);
  const keys = await operatorKeys(options);
  const operator = userKey(await nextOperatorKey(options, keys));
  await changeConfig(context, async (ask, view) => {
    if ((await readMembers(view)).fleet === null) throw fleetOff();
    const edits = [{ key: "fleet.operator", value: JSON.stringify(operator) }];
    tellSaved(context, await askEdits(context, ask, edits));
  });
  await settledOperatorKey(options, operator);
  if (context.json) {
    showJson(context, { operator });
    return 0;
  }
  const { green, symbols } = paintFor(context.stdoutStyle);
  context.print(`${green(symbols.good)} this machine signs with a new key, and believes that alone\n`);
  context.print(`\nOn every other machine of the fleet:\n\n`);
  context.print(`  mountaineer config set fleet.operator ${operator}\n\n`);
  context.note(
    "then, here: mountaineer fleet config set FILE, as nothing that the old key has signed counts now",
  );
  return 0;
}

function tell(context: CommandContext, { operator, revision, machines }: Outcome): number {
  if (context.json) {
    const told = machines.map(({ machine, knows }) => ({ machine, knows }));
    showJson(context, { operator, revision, machines: told });
    return 0;
  }
  const { green, yellow, symbols } = paintFor(context.stdoutStyle);
  context.print(`${green(symbols.good)} the fleet's operator signs with ${operator} from now on\n`);
  for (const { machine, knows } of machines) {
    const said = knows ? "has taken it" : "has not answered yet, and takes it when it is back";
    context.print(
      `  ${knows ? green(symbols.good) : yellow(symbols.warning)} ${harmless(machine)} ${said}\n`,
    );
  }
  return 0;
}
