// The calls that wait for the owner's answer, in a tab with the owner's right. Other tabs show their conditions only.
import { type ComponentChild, h } from "preact";
import type { QuestionReport } from "../../../api/contract/questions.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { plainList, row, section, WorkButton } from "../parts/elements.ts";
import { useIsOwner } from "../parts/owner-lock.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

export function QuestionsPart({ app }: ViewProps): ComponentChild {
  const isOwners = useIsOwner(app);
  const events = useStore(app.store, ({ status }) =>
    (status?.gateway?.conditions ?? [])
      .flatMap(({ code, title, since }) => (code === "question_waits" ? [`${title} ${since}`] : []))
      .join(),
  );
  const load = async () => (isOwners && events !== "" ? app.requests.call("questions", null) : null);
  const { report, reload } = useLoaded(load, `${isOwners} ${events}`);
  const questions = report?.questions ?? [];
  if (questions.length === 0) return null;
  return section(
    "Waits for your answer",
    questions.map((question) => questionCard(app, question, reload)),
  );
}

function questionCard(app: App, question: QuestionReport, reload: () => Promise<unknown>): ComponentChild {
  const { code, tool, server, lines } = question;
  const title = shown(`${tool} of ${server}`);
  const button = (label: string, kind: "main" | "danger", allow: boolean): ComponentChild => {
    const run = async () => {
      await app.attempt(`Answer ${tool}`, async () => {
        const { detail } = await app.requests.call("answer", { code, allow, from: "page" });
        app.notify(allow ? "good" : "plain", `${tool}: ${detail}`);
      });
      // Also after a failure: an answer elsewhere gives the other equal calls a new code.
      await reload();
    };
    return h(WorkButton, { label, accessibleName: `${label}: ${title}`, kind, run });
  };
  return h(
    "article",
    { key: code, class: "card warning", "aria-label": `Waits for your answer: ${title}` },
    h("header", {}, h("h3", {}, title), h("span", { class: "dim" }, code)),
    plainList(
      `The call of ${title}`,
      lines.map((line, index) => h("li", { key: index, class: "exact" }, shown(line))),
    ),
    row(button("Allow once", "main", true), " ", button("Deny", "danger", false)),
  );
}
