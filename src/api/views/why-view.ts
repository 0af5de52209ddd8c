// Why a share or a server is as it is, as text. Pure.
import { columns, nonBreaking, padded, printable } from "../../runtime/text/plain-text.ts";
import { dueText, type Why } from "../labels/why.ts";
import {
  conditionLines,
  hanging,
  INDENT,
  isUnsaid,
  type StatusViewOptions,
  text,
  unbroken,
  type View,
  viewOf,
} from "./view-lines.ts";

/** `decides`: a daemon runs and acts on this. */
export function renderWhy(all: readonly Why[], decides: boolean, options: StatusViewOptions): string {
  const view = viewOf(options);
  const { paint } = view;
  const blocks = all.map((why) =>
    [
      `${paint.bold(printable(why.name))} (${why.kind})  ${printable(why.state)}`,
      ...ruleLines(why, view),
      ...conditionLines(why.conditions, "  ", view),
    ].join("\n"),
  );
  const noDaemon =
    "No daemon runs: this is what it would decide now, and nothing acts on it. `mountaineer up` starts one.";
  return `${[...blocks, ...(decides ? [] : [paint.dim(noDaemon)])].join("\n\n")}\n`;
}

/** The rule in force, and below it each rule that takes no step. */
export function ruleLines({ rule, why, passed_over: rules, conditions }: Why, view: View): string[] {
  const passedOver = rules.filter((one) => one.why !== why || one.until !== null);
  const width = passedOver.reduce((most, one) => Math.max(most, columns(printable(one.rule))), 0);
  return [
    ...text(isUnsaid(why, conditions) ? unbroken(`${rule}: ${why}`) : rule, "  ", view),
    ...(passedOver.length === 0 ? [] : [view.paint.dim("  not now:")]),
    ...passedOver.flatMap((one) => {
      const lead = `${INDENT}${padded(printable(one.rule), width)}  `;
      const due = dueText(one, view.now);
      const because = `${unbroken(one.why)}${due === null ? "" : ` (${nonBreaking(due)})`}`;
      return hanging(lead, because, view.width);
    }),
  ];
}
