// Which rule applies to a share or a server, and why each other rule takes no step; folded.
import { type ComponentChild, h } from "preact";
import { dueText, type Why } from "../../../api/labels/why.ts";
import { details, plainList, withCode } from "./elements.ts";

/** null: the card shows it all already. */
export function whyDetails({ kind, rule, why, passed_over: rules }: Why, now: number): ComponentChild | null {
  const passedOver = rules.filter((one) => one.why !== why);
  if (passedOver.length === 0) return null;
  return details(
    "Why?",
    kind === "share" ? h("p", {}, `${rule}: `, withCode(why)) : null,
    plainList(
      "Rules that take no step now",
      ...passedOver.map((one) => {
        const due = dueText(one, now);
        return h(
          "li",
          { key: one.rule },
          h("span", { class: "dim" }, "not now: "),
          `${one.rule}: `,
          withCode(one.why),
          due === null ? "" : ` (${due})`,
        );
      }),
    ),
  );
}
