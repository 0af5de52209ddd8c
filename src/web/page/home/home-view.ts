// Home: what needs attention and its remedy, the picture of all connections, and what each half is for.
import { type ComponentChild, h } from "preact";
import { useContext, useEffect, useMemo, useState } from "preact/hooks";
import type { StatusReport } from "../../../api/contract/contract.ts";
import { statesText } from "../../../api/labels/backend-labels.ts";
import { wholeText } from "../../../api/labels/label.ts";
import { shareLabel } from "../../../api/labels/share-labels.ts";
import { shareSummary } from "../../../api/labels/traffic-labels.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { useFleet } from "../fleet/use-fleet.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { Copyable, card, Gone, loading, mark, plainList, section, withCode } from "../parts/elements.ts";
import { shown, unmarked } from "../parts/text.ts";
import {
  type Drawing,
  drawingOf,
  LINE_HEIGHT,
  type Picture,
  type Placed,
  pictureOf,
  type Thing,
} from "./picture.ts";
import { QuestionsPart } from "./questions-part.ts";
import { commandOf, findTroubles, type Trouble } from "./troubles.ts";

export function HomeView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const approvals = useStore(app.store, (state) => state.approvals);
  const troubles = useMemo(
    () => (status === null ? [] : findTroubles(status, approvals)),
    [status, approvals],
  );
  if (status === null) return loading();
  const isEmpty = status.shares.length === 0 && (status.backends ?? []).length === 0;
  return h(
    "div",
    { class: "home" },
    h(QuestionsPart, { app }),
    isEmpty && troubles.length === 0 ? null : h(Summary, { app, troubles }),
    isEmpty ? emptyHome() : h(PictureView, { app }),
    isEmpty ? null : [sharesPart(status), serversPart(status), beginnings(status)],
  );
}

/** Where each share is, over which cable, and with how much room. */
function sharesPart({ shares }: StatusReport): ComponentChild {
  if (shares.length === 0) return null;
  return section(
    "Shares",
    plainList(
      "Shares",
      shares.map((share) => {
        const { text, tone } = shareLabel(share);
        return h(
          "li",
          { key: share.name, class: "row" },
          h("a", { href: "#/shares" }, h("strong", {}, shown(share.name))),
          mark(tone, text),
          h(Copyable, { text: share.stable_path }),
          h("span", { class: "dim" }, shown(shareSummary(share).join(" · "))),
        );
      }),
    ),
  );
}

function serversPart({ gateway, backends = [] }: StatusReport): ComponentChild {
  if (gateway === undefined) return null;
  const counts = [`${pluralize(gateway.tools, "tool")}`, pluralize(gateway.sessions, "session")];
  return section(
    "Servers",
    h(
      "p",
      {},
      h("a", { href: "#/servers" }, `${pluralize(backends.length, "server")}: ${statesText(backends)}`),
      h("span", { class: "dim" }, ` · ${counts.join(" · ")}`),
    ),
  );
}

function emptyHome(): ComponentChild {
  const beginning = (title: string, text: string, link: ComponentChild): ComponentChild =>
    card("plain", title, ...[h("h2", {}, title), h("p", { class: "dim" }, text), h("p", {}, link)]);
  return h(
    "div",
    { class: "verdict" },
    h("p", { class: "verdict-line welcome" }, "Begin with what you have"),
    h(
      "div",
      { class: "cards" },
      beginning(
        "A NAS",
        "Its shares stay mounted at one path, over two cables: one may be pulled.",
        addLink("a share", "shares", "button main"),
      ),
      beginning("MCP servers", "All your agents reach all of their tools at one address.", [
        h("a", { class: "button main", href: "#/servers/import" }, "Import servers"),
        " ",
        addLink("a server", "servers", "button"),
      ]),
    ),
    h("p", { class: "dim" }, "Or run ", h(Copyable, { text: "mountaineer init" }), " in a terminal."),
  );
}

/** The link for adding what is missing: a share, else an MCP server. The navigation leaves empty views out. */
function beginnings({ shares, gateway }: StatusReport): ComponentChild {
  if (shares.length === 0) return h("p", { class: "row" }, addLink("a share", "shares", "button"));
  if (gateway !== undefined) return null;
  return h("p", { class: "row" }, addLink("an MCP server", "servers", "button"));
}

function addLink(what: string, view: "shares" | "servers", kind: string): ComponentChild {
  return h("a", { class: kind, href: `#/${view}/add` }, `Add ${what}`);
}

interface SummaryProps extends ViewProps {
  readonly troubles: readonly Trouble[];
}

function Summary({ app, troubles }: SummaryProps): ComponentChild {
  const isGone = useContext(Gone);
  const tone = isGone ? "plain" : (troubles[0]?.tone ?? "good");
  return h(
    "div",
    { class: `verdict ${tone}` },
    h(
      "p",
      { class: "verdict-line", role: "status" },
      isGone
        ? "Not known now"
        : troubles.length === 0
          ? "All is well"
          : `${pluralize(troubles.length, "thing")} ${troubles.length === 1 ? "needs" : "need"} attention`,
    ),
    troubles.length === 0
      ? null
      : h(
          "ul",
          { class: "troubles" },
          troubles.map((trouble) => troubleRow(app, trouble)),
        ),
  );
}

function troubleRow(app: App, trouble: Trouble): ComponentChild {
  const { tone, hint, action, at } = trouble;
  const text = unmarked(wholeText(trouble));
  const command = hint === null ? null : commandOf(hint);
  const isSecret = command?.startsWith("mountaineer secret set ") === true;
  return h(
    "li",
    { key: text, class: `trouble ${tone}` },
    h(
      "div",
      {},
      h("a", { href: `#/${at}` }, text),
      hint === null || command !== null ? null : h("p", { class: "hint" }, withCode(hint)),
    ),
    isSecret
      ? h("a", { class: "button", href: "#/settings/secrets", "aria-label": `Set: ${text}` }, "Set")
      : action !== null
        ? h(ActionButton, { app, action })
        : command === null
          ? h("a", { class: "button", href: `#/${at}`, "aria-label": `Show: ${text}` }, "Show")
          : h(Copyable, { text: command }),
  );
}

// The picture of Home as SVG, and as a list for screen readers.

/** The same page width as in the style sheets. */
const NARROW = "(max-width: 48rem)";
function PictureView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const flow = useStore(app.store, (state) => state.flow);
  const { report } = useFleet(app);
  const now = useNow();
  const isNarrow = useNarrow();
  const fleet = report === "off" ? null : report;
  const picture = useMemo(
    () => (status === null ? null : pictureOf({ status, fleet, flow }, now, isNarrow)),
    [status, fleet, flow, now, isNarrow],
  );
  if (picture === null) return null;
  return h(
    "div",
    { class: "picture" },
    drawn(drawingOf(picture, isNarrow)),
    h(
      "ul",
      { class: "unseen", "aria-label": `What ${picture.machine.title} is joined to` },
      listItems(picture),
    ),
  );
}

function useNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const update = (): void => setNarrow(query.matches);
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, []);
  return isNarrow;
}

function listItems({ joined }: Picture): readonly ComponentChild[] {
  return joined.map(({ id, title, text, trouble = "", wires }) => {
    const cables = wires.flatMap(({ label, rate }) => [label, rate]);
    return h("li", { key: id }, [title, text, trouble, ...cables].filter((part) => part !== "").join(", "));
  });
}

function drawn({ left, width, height, isNarrow, things, wires }: Drawing): ComponentChild {
  return h(
    "svg",
    {
      viewBox: `${left} 0 ${width} ${height}`,
      class: isNarrow ? "narrow" : width < 900 ? "short" : "wide",
      "aria-hidden": true,
    },
    wires.map(({ id, path, state, tone, rate, passing }) =>
      h(
        "g",
        { key: id },
        h("path", { class: `wire ${state} ${tone}`, d: path, pathLength: state === "used" ? 1 : undefined }),
        rate === "" ? null : h("path", { class: "moving", d: path }),
        passing.map((atMs) => h("path", { key: atMs, class: "call", d: path, pathLength: 1 })),
      ),
    ),
    things.map((placed) => thingDrawn(placed, isNarrow, height)),
    wires.map(({ id, labels, rate, labelX, labelY, tone }) => [
      labels.map((label, at) =>
        h("text", { key: at, class: `label ${tone}`, x: labelX, y: labelY + (at === 0 ? -7 : 18) }, label),
      ),
      rate === "" ? null : h("text", { key: `${id} rate`, class: "rate", x: labelX, y: labelY + 18 }, rate),
    ]),
  );
}

function thingDrawn(
  { thing, box, titles, texts }: Placed,
  isNarrow: boolean,
  height: number,
): ComponentChild {
  const { id, kind, title, text, trouble = "", tone, at, isHint = false } = thing;
  const { x, y } = box;
  const isMachine = kind === "machine";
  const isTall = isMachine && !isNarrow;
  const middleX = x + box.width / 2;
  const middleY = y + box.height / 2;
  const hasSign = !isHint;
  const textX = isTall ? middleX : x + (hasSign ? 48 : 14);
  const size = LINE_HEIGHT * (titles.length + texts.length);
  const baseline = isTall ? y + 76 : middleY - size / 2 + 14;
  return h(
    "a",
    {
      key: id,
      href: `#/${at}`,
      tabindex: -1,
      class: `thing ${kind} ${isHint ? "hint" : tone}`,
    },
    h("title", {}, [title, text, trouble].filter((line) => line !== "").join(", ")),
    isMachine && isNarrow
      ? h("rect", { class: "rail", x: 0, y: 30, width: 8, height: height - 30, rx: 4 })
      : null,
    h("rect", { class: "box", ...box, rx: 10 }),
    hasSign ? sign(kind, title, isTall ? middleX - 14 : x + 12, isTall ? y + 18 : middleY - 14) : null,
    h(
      "g",
      isTall ? { "text-anchor": "middle" } : {},
      [...titles, ...texts].map((line, index) =>
        h(
          "text",
          {
            ...{ key: index, class: index < titles.length ? "title" : "text" },
            ...{ x: textX, y: baseline + LINE_HEIGHT * index },
          },
          line,
        ),
      ),
    ),
    isMachine || isHint ? null : h("circle", { class: "dot", cx: x + box.width - 14, cy: y + 16, r: 4 }),
  );
}

/** An icon of 28 by 28 units. */
function sign(kind: Thing["kind"], title: string, x: number, y: number): ComponentChild {
  if (kind === "machine" || kind === "peer")
    return h("path", {
      class: "line",
      d: `M${x + 5},${y + 5} h18 v13 h-18 z M${x + 1},${y + 22} h26`,
    });
  if (kind === "nas")
    return h("path", {
      class: "line",
      d: `M${x + 4},${y + 3} h20 v9 h-20 z m0,11 h20 v9 h-20 z M${x + 8},${y + 7.5} h5 m-5,11 h5`,
    });
  return [
    h("rect", { class: "initial-back", x, y, width: 28, height: 28, rx: 7 }),
    h(
      "text",
      { class: "initial", x: x + 14, y: y + 19, "text-anchor": "middle" },
      // Of `23 servers` the number.
      title.includes(" ") ? title.split(" ")[0] : title.charAt(0).toUpperCase(),
    ),
  ];
}
