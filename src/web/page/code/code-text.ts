// Text of the configuration: an editor, and a diff. Both are plain text until CodeMirror is loaded, and stay plain if that
// fails: the build from which the page was loaded may have been removed.
import { type ComponentChild, h, type RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { harmlessLines } from "../../../runtime/text/plain-text.ts";
import type { CodeEditor, DiffOptions, EditorOptions, TextPlace } from "./code-editor.ts";

type Code = typeof import("./code-editor.ts");

async function loadCode(): Promise<Code | null> {
  if (!("ShadowRoot" in globalThis)) return null;
  return import("./code-editor.ts").catch(() => null);
}

interface CodeTextProps extends Omit<EditorOptions, "host" | "text"> {
  /** The text when this was drawn. */
  readonly text: string;
  /** The current text. */
  readonly newest: () => string;
  readonly places: readonly TextPlace[];
  /** The editor; null while there is only the plain field. */
  readonly editor: RefObject<CodeEditor | null>;
}

export function CodeText(props: CodeTextProps): ComponentChild {
  const { text, newest, format, label, places, editor } = props;
  const host = useRef<HTMLDivElement>(null);
  const current = useRef(props);
  current.current = props;
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    let isOver = false;
    void loadCode().then((code) => {
      if (code === null || isOver || host.current === null) return;
      const hadFocus = host.current.contains(document.activeElement);
      editor.current = code.openEditor({
        host: host.current,
        text: newest(),
        format,
        label,
        schema: () => current.current.schema(),
        onText: (typed) => current.current.onText(typed),
        onKey: (path) => current.current.onKey(path),
      });
      if (hadFocus) editor.current.goTo(1, 1);
      setOpen(true);
    });
    return () => {
      isOver = true;
      editor.current?.[Symbol.dispose]();
      editor.current = null;
    };
  }, [format]);
  useEffect(() => editor.current?.setText(newest()), [isOpen, text]);
  useEffect(() => editor.current?.mark(places), [isOpen, places]);
  return h(
    "div",
    { class: "code", ref: host },
    isOpen
      ? null
      : h("textarea", {
          id: "config-text",
          "aria-label": label,
          value: text,
          spellcheck: false,
          wrap: "off",
          onInput: (event: Event) => props.onText((event.target as HTMLTextAreaElement).value),
        }),
  );
}

/** A diff; without CodeMirror, the new text. */
export function CodeDiff(props: Omit<DiffOptions, "host">): ComponentChild {
  const { before, after, labels } = props;
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let isOver = false;
    let drawn: Disposable | null = null;
    void loadCode().then((code) => {
      if (code !== null && !isOver && host.current !== null)
        drawn = code.openDiff({ host: host.current, ...props });
    });
    return () => {
      isOver = true;
      drawn?.[Symbol.dispose]();
    };
  }, [before, after]);
  return h(
    "div",
    { class: "code", ref: host },
    h(
      "pre",
      { class: "text", tabIndex: 0, role: "region", "aria-label": labels.after },
      harmlessLines(after),
    ),
  );
}
