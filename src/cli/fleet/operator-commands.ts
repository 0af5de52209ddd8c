// `mountaineer fleet keys rotate operator`: makes the operator's next key, and waits until the machines accept that key.

import type { FleetLayerReport } from "../../api/contract/fleet.ts";
import { fleetOff } from "../../api/operations/gateway-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { doneLine, showResult, warningLine } from "../input/options.ts";
import { editMembers } from "../sessions/config-members.ts";
import { withDaemon } from "../sessions/control-session.ts";
import { homeOptions } from "./home-options.ts";
import { answers, LINKED, publishLayer, readSigner } from "./layer-commands.ts";

/** `stolen`: others have the old key, so it must not sign its replacement. Resolves with the exit code. */
export async function rotateOperator(context: CommandContext, stolen: boolean): Promise<number> {
  const { withKeys } = await import("../../fleet/enrollment/fleet-folder.ts");
  return withKeys(homeOptions(context), context.signal, () =>
    stolen ? replaceStolen(context) : handOver(context),
  );
}

async function handOver(context: CommandContext): Promise<number> {
  const { operatorKeys, nextOperatorKey, settledOperatorKey } = await import(
    "../../fleet/enrollment/operator-key.ts"
  );
  const { userKey } = await import("../../fleet/keys/nkey.ts");
  const { signHandover } = await import("../../fleet/layer/key-handovers.ts");
  const options = homeOptions(context);
  return withDaemon(context, LINKED, async (daemon) => {
    const showRotation = async (operator: string, revision: number): Promise<number> => {
      const answered = await answers(context, daemon, revision);
      const machines = answered.map(({ machine, knows }) => ({ machine, knows }));
      showResult(context, { operator, revision, machines }, (paint) => [
        doneLine(paint, `the fleet's operator signs with ${operator} from now on`),
        ...machines.map(({ machine, knows }) => {
          const name = printable(machine);
          if (knows) return `  ${doneLine(paint, `${name} has taken it`)}`;
          return `  ${warningLine(paint, `${name} has not answered yet, and takes it when it is back`)}`;
        }),
      ]);
      return 0;
    };
    const pending = (await operatorKeys(options)).next;
    const signer = await readSigner(context, daemon);
    const { key, handovers, report } = signer;
    const line = report.line ?? userKey(key);
    if (pending?.equals(key) === true) {
      context.note("the exchange had been cut off, and is done now");
      return showRotation(userKey(key), report.newest?.revision ?? report.accepted);
    }
    const next = await nextOperatorKey(options, await operatorKeys(options));
    const operator = userKey(next);
    const time = new Date(systemClock.wallMs()).toISOString();
    const number = (handovers.at(-1)?.number ?? 0) + 1;
    const handover = signHandover({ to: operator, number, time }, key);
    const text = await textThatCounts(context.home, line, report);
    const nextSigner = { ...signer, key: next, handovers: [...handovers, handover] };
    const revision = await publishLayer(context, daemon, nextSigner, text);
    const counts = await settledOperatorKey(options, line);
    if (!counts.equals(next)) {
      throw new MountaineerError("fleet_unreachable", "this machine's daemon has not taken the new key yet", {
        hint: "type the same again",
        retry: "later",
      });
    }
    return showRotation(operator, revision);
  });
}

/**
 * The text of the newest revision if that revision is valid and no older than the accepted one, else the text
 * that this machine accepted last.
 */
async function textThatCounts(
  home: string,
  line: string,
  { newest, text, accepted }: FleetLayerReport,
): Promise<string> {
  if (text !== null && (newest?.revision ?? 0) >= accepted) return text;
  const { readAcceptedLayer } = await import("../../fleet/layer/accepted-layer.ts");
  return (await readAcceptedLayer(home, line)).layer?.text ?? "";
}

/**
 * Replaces a stolen operator's key by a new key that the old key has not signed. The new key is written into this
 * machine's file first, so that this machine trusts it even if the command is interrupted.
 */
async function replaceStolen(context: CommandContext): Promise<number> {
  const { operatorKeys, nextOperatorKey, settledOperatorKey } = await import(
    "../../fleet/enrollment/operator-key.ts"
  );
  const { userKey } = await import("../../fleet/keys/nkey.ts");
  const options = homeOptions(context);
  const keys = await operatorKeys(options);
  const operator = userKey(await nextOperatorKey(options, keys));
  await editMembers(context, ({ fleet }) => {
    if (fleet === null) throw fleetOff();
    return [{ key: "fleet.operator", value: JSON.stringify(operator) }];
  });
  await settledOperatorKey(options, operator);
  showResult(context, { operator }, (paint) => [
    doneLine(paint, "this machine signs with a new key, and believes that alone"),
    "",
    "On every other machine of the fleet:",
    "",
    `  ${shellCommand`mountaineer config set fleet.operator ${operator}`}`,
    "",
  ]);
  if (!context.json)
    context.note(
      "then, here: mountaineer fleet config set FILE, as nothing that the old key has signed counts now",
    );
  return 0;
}
