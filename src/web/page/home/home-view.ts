// Home: what needs attention and its remedy, the picture of all connections, and what each half is for.
import { type ComponentChild, h } from "preact";
import { useContext, useMemo } from "preact/hooks";
import type { BackendStatus, ShareStatus, StatusReport } from "../../../api/contract/contract.ts";
import type { NumbersReport } from "../../../api/contract/numbers.ts";
import { backendLabel } from "../../../api/labels/backend-labels.ts";
import { type StateLabel, wholeText, worstFirst } from "../../../api/labels/label.ts";
import { shareLabel } from "../../../api/labels/share-labels.ts";
import { LEAST_RATE } from "../../../api/labels/traffic-labels.ts";
import { bytesText, pluralize } from "../../../runtime/text/plain-text.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { useFleet } from "../fleet/use-fleet.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { Copyable, card, Gone, loading, mark, row, section, withCode } from "../parts/elements.ts";
import { openedAddress } from "../parts/opened.ts";
import { useIsOwner, useMayRunCommands } from "../parts/owner-lock.ts";
import { shown, unmarked } from "../parts/text.ts";
import { useMedia } from "../parts/use-media.ts";
import { Strip, StripAxis, stripLegend, useNumbers } from "../plots/strip.ts";
import {
  type Drawing,
  drawingOf,
  EXAMPLES,
  LINE_HEIGHT,
  type Picture,
  type Placed,
  pictureOf,
  type Thing,
} from "./picture.ts";
import { QuestionsPart } from "./questions-part.ts";
import { findTroubles, type Trouble } from "./troubles.ts";

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
    isEmpty
      ? h(EmptyHome, {})
      : [
          h(PictureView, { key: "picture", app }),
          h(DayRows, { key: "rows", app, status }),
          beginnings(status),
        ],
  );
}

/** More rows are counted: their view has a search. */
const MOST_ROWS = 40;

/** A row for each share and server, with its day: those in trouble first, then those used most. */
function DayRows({ app, status }: ViewProps & { readonly status: StatusReport }): ComponentChild {
  const numbers = useNumbers(app);
  const { shares, backends = [] } = status;
  const rows = worstFirst(
    [
      ...shares.map((share) => shareRow(share, numbers)),
      ...backends.map((backend) => serverRow(backend, numbers)).toSorted((one, other) => other.use - one.use),
    ],
    ({ label }) => label.tone,
  );
  const more = rows.length - MOST_ROWS;
  return section(
    "The last 24 h",
    h(
      "ul",
      { class: "days", "aria-label": "Shares and servers" },
      rows
        .slice(0, MOST_ROWS)
        .map(({ at, name, label, day, facts }) =>
          h(
            "li",
            { key: `${at} ${name}`, class: label.tone },
            h("a", { href: openedAddress(at, name) }, shown(name)),
            mark(label.tone, label.text),
            numbers === null || day === undefined
              ? h("span", { class: "strip" })
              : h(Strip, { name, day, to: numbers.to }),
            h("span", { class: "dim" }, shown(facts)),
          ),
        ),
      numbers === null ? null : h("li", { "aria-hidden": true }, h(StripAxis, { to: numbers.to })),
    ),
    more <= 0
      ? null
      : h("p", { class: "more" }, h("a", { href: "#/servers" }, `${pluralize(more, "more server")}`)),
    numbers === null ? null : stripLegend(),
  );
}

interface DayRow {
  /** The view whose panel the row opens: the part of the address after `#/`. */
  readonly at: "shares" | "servers";
  readonly name: string;
  readonly label: StateLabel;
  /** Calls of the last hour. */
  readonly use: number;
  readonly day: NumbersReport["shares"][number]["day"] | undefined;
  readonly facts: string;
}

function shareRow(share: ShareStatus, numbers: NumbersReport | null): DayRow {
  const { name, space, bytes_per_sec: rate = 0 } = share;
  const day = numbers?.shares.find((each) => each.name === name)?.day;
  const facts = [
    ...(rate >= LEAST_RATE ? [`${bytesText(rate)}/s`] : []),
    ...(space === undefined ? [] : [`${bytesText(space.free_bytes)} free`]),
  ].join(" · ");
  return { at: "shares", name, label: shareLabel(share), use: 0, day, facts };
}

function serverRow(backend: BackendStatus, numbers: NumbersReport | null): DayRow {
  const { name, tools, enabled } = backend;
  const own = numbers?.servers.find((each) => each.name === name);
  const use = own?.calls_hour ?? 0;
  const facts = use > 0 ? `${pluralize(use, "call")}, last hour` : enabled ? pluralize(tools, "tool") : "";
  return { at: "servers", name, label: backendLabel(backend), use, day: own?.day, facts };
}

/** A home without anything: each half as it will look, in grey, with one button. */
function EmptyHome(): ComponentChild {
  const isNarrow = useMedia(NARROW);
  const half = (kind: keyof typeof EXAMPLES, title: string, text: string, ...links: ComponentChild[]) =>
    card(
      "plain",
      title,
      h("h2", {}, title),
      h("p", { class: "dim" }, text),
      h("div", { class: "picture example" }, drawn(drawingOf(EXAMPLES[kind], isNarrow))),
      h("p", {}, ...links),
    );
  return h(
    "div",
    { class: "verdict" },
    h("p", { class: "verdict-line welcome" }, "Begin with what you have"),
    h(
      "div",
      { class: "cards" },
      half(
        "nas",
        "A NAS",
        "Its shares stay mounted at one path, over two cables: one may be pulled.",
        addLink("a share", "shares", "button main"),
      ),
      half(
        "servers",
        "MCP servers",
        "All your agents reach all of their tools at one address.",
        h("a", { class: "button main", href: "#/servers/import" }, "Import servers"),
        " or ",
        addLink("a server", "servers", ""),
      ),
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

function Summary({ app, troubles: all }: SummaryProps): ComponentChild {
  const isGone = useContext(Gone);
  const commands = useMayRunCommands(app);
  const owner = useIsOwner(app);
  // The owner's questions are above.
  const troubles = all.filter(({ steps }) => !(owner && steps[0]?.label === "Answer"));
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
          troubles.map((trouble) => troubleRow(app, trouble, { owner, commands })),
        ),
  );
}

interface Rights {
  readonly owner: boolean;
  readonly commands: boolean;
}

function troubleRow(app: App, { steps, ...trouble }: Trouble, rights: Rights): ComponentChild {
  const { tone, hint, action, at } = trouble;
  const text = unmarked(wholeText(trouble));
  // What a button does needs no line that says how.
  const isShown = action === null && steps.every(({ label }) => label === "Show");
  return h(
    "li",
    { key: text, class: `trouble ${tone}` },
    h(
      "div",
      {},
      h("a", { href: `#/${at}` }, text),
      isShown && hint !== null ? h("p", { class: "hint" }, withCode(hint)) : null,
    ),
    row(
      steps.map(({ label, at: to, needs }) =>
        needs !== undefined && !rights[needs]
          ? h(
              "button",
              { key: label, type: "button", "aria-label": `Unlock: ${text}`, onClick: unlock },
              "Unlock",
            )
          : h(
              "a",
              { key: label, class: "button", href: `#/${to}`, "aria-label": `${label}: ${text}` },
              label,
            ),
      ),
      action === null ? null : h(ActionButton, { app, action }),
    ),
  );
}

/** As a click on the lock in the header does. */
function unlock(): void {
  document.querySelector<HTMLElement>(".top .owner button")?.click();
}

// The picture of Home as SVG, and as a list for screen readers.

/** The same page width as in the style sheets. */
const NARROW = "(max-width: 48rem)";
function PictureView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const flow = useStore(app.store, (state) => state.flow);
  const { report } = useFleet(app);
  const now = useNow();
  const isNarrow = useMedia(NARROW);
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
  const textX = isTall ? middleX : x + (isHint ? 14 : 48);
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
    isHint ? null : sign(kind, title, isTall ? middleX - 14 : x + 12, isTall ? y + 18 : middleY - 14),
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
      /^\d+(?= )/.exec(title)?.[0] ?? title.charAt(0).toUpperCase(),
    ),
  ];
}
