// As much of a DOM as preact draws into, so that the page's views are drawn, clicked and typed into without a browser.
// It lays nothing out and keeps no focus: what needs these is proved in Chromium.
import { type ComponentChild, h, render } from "preact";

type Listener = (this: TinyNode, event: unknown) => void;

export class TinyNode {
  readonly namespaceURI = "http://www.w3.org/1999/xhtml";
  readonly childNodes: TinyNode[] = [];
  readonly attributes: { name: string; value: string }[] = [];
  readonly style: Record<string, string> = {};
  readonly listeners = new Map<string, Listener>();
  readonly nodeType: number;
  readonly localName: string;
  parentNode: TinyNode | null = null;
  data = "";
  /** Of a field: preact sets them as properties. */
  value = "";
  checked = false;
  disabled = false;

  constructor(localName: string) {
    this.localName = localName;
    this.nodeType = localName === "" ? 3 : 1;
  }
  get firstChild(): TinyNode | null {
    return this.childNodes[0] ?? null;
  }
  get nextSibling(): TinyNode | null {
    const siblings = this.parentNode?.childNodes ?? [];
    return siblings[siblings.indexOf(this) + 1] ?? null;
  }
  get ownerDocument(): object {
    return tinyDocument;
  }
  get textContent(): string {
    return this.localName === "" ? this.data : this.childNodes.map((child) => child.textContent).join("");
  }
  insertBefore(node: TinyNode, before: TinyNode | null): TinyNode {
    node.remove();
    node.parentNode = this;
    this.childNodes.splice(
      before === null ? this.childNodes.length : this.childNodes.indexOf(before),
      0,
      node,
    );
    return node;
  }
  appendChild(node: TinyNode): TinyNode {
    return this.insertBefore(node, null);
  }
  removeChild(node: TinyNode): void {
    node.remove();
  }
  remove(): void {
    const siblings = this.parentNode?.childNodes ?? [];
    if (siblings.includes(this)) siblings.splice(siblings.indexOf(this), 1);
    this.parentNode = null;
  }
  setAttribute(name: string, value: unknown): void {
    this.removeAttribute(name);
    this.attributes.push({ name, value: String(value) });
  }
  removeAttribute(name: string): void {
    const at = this.attributes.findIndex((attribute) => attribute.name === name);
    if (at !== -1) this.attributes.splice(at, 1);
  }
  getAttribute(name: string): string | null {
    return this.attributes.find((attribute) => attribute.name === name)?.value ?? null;
  }
  addEventListener(name: string, listener: Listener): void {
    this.listeners.set(name.toLowerCase(), listener);
  }
  removeEventListener(name: string): void {
    this.listeners.delete(name.toLowerCase());
  }
  setSelectionRange(): void {}
  focus(): void {}
  showModal(): void {}
  /** As a person does it; a field has its value before. */
  fire(type: string, changes: Partial<TinyNode> = {}): void {
    Object.assign(this, changes);
    this.listeners.get(type)?.call(this, { type, target: this, currentTarget: this, preventDefault() {} });
  }
  all(): TinyNode[] {
    return [this, ...this.childNodes.flatMap((child) => child.all())];
  }
  /** What a screen reader calls it. */
  get name(): string {
    return this.getAttribute("aria-label") ?? this.textContent;
  }
}

const tinyDocument = {
  createElementNS: (_namespace: string, name: string) => new TinyNode(name),
  createElement: (name: string) => new TinyNode(name),
  createTextNode: (data: string) => Object.assign(new TinyNode(""), { data }),
  querySelector: () => ({ content: "/page/config-schema.json" }),
  addEventListener() {},
  removeEventListener() {},
  visibilityState: "visible",
  activeElement: null,
};

/** Draws it; `elements` are those of a kind, by name. */
export function mount<Props extends object>(view: (props: Props) => ComponentChild, props: Props) {
  const matchMedia = () => ({ matches: false, addEventListener() {}, removeEventListener() {} });
  Object.assign(globalThis, { document: tinyDocument, HTMLElement: TinyNode, matchMedia });
  const root = new TinyNode("body");
  // It has what preact uses of one.
  render(h(view as never, props as never), root as unknown as Element);
  return {
    root,
    text: (): string => root.textContent,
    elements: (kind: string): readonly TinyNode[] => root.all().filter(({ localName }) => localName === kind),
    named: (kind: string, name: string): TinyNode =>
      root.all().find((node) => node.localName === kind && node.name === name) ??
      missing(`${kind} "${name}"`, root),
    byId: (id: string): TinyNode =>
      root.all().find((node) => node.getAttribute("id") === id) ?? missing(id, root),
    [Symbol.dispose]: (): void => render(null, root as unknown as Element),
  };
}

function missing(what: string, { textContent }: TinyNode): never {
  throw new Error(`no ${what} in: ${textContent}`);
}
