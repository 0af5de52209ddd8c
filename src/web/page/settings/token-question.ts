// A new token, shown once: only the dialog has it.
import { h } from "preact";
import type { UserChangeReport } from "../../../api/contract/people.ts";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import type { App } from "../parts/app.ts";
import { Copyable, line, row } from "../parts/elements.ts";

/** Resolves when the dialog is closed. */
export function handOver(
  app: App,
  title: string,
  { token, address, warnings }: UserChangeReport & { readonly token: string },
): Promise<boolean> {
  const header = `Authorization: Bearer ${token}`;
  const at = address ?? "ADDRESS";
  const lines = {
    Address: at,
    Token: token,
    Header: header,
    "Claude Code": shellCommand`claude mcp add --transport http mountaineer ${at} --header ${header}`,
  };
  return app.confirm({
    title,
    body: [
      h("p", {}, "Hand this over. The token is shown only now."),
      Object.entries(lines).map(([label, text]) => row(`${label} `, h(Copyable, { text }))),
      line("problem", address === null ? "The gateway does not listen now, so it has no address." : null),
      warnings.map((text) => line("problem", text)),
    ],
    ...{ action: "Done", isNotice: true },
  });
}
