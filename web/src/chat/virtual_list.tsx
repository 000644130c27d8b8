// A long list of rows of unknown heights, of which only those near the view are drawn. Stays at its
// end while it grows, unless someone has scrolled away from there; else what is seen does not move.
import { Component, type ComponentChildren, createRef } from "preact";

interface Props<T> {
  items: readonly T[];
  keyOf: (item: T) => string;
  render: (item: T, place: number) => ComponentChildren;
  /** Told when the end comes into view or leaves it. */
  onEnd: (atEnd: boolean) => void;
  label: string;
  after?: ComponentChildren;
}

interface State {
  first: number;
  /** One past the last. */
  end: number;
}

const GUESS = 180;
const BEYOND = 800;
const NEAR_END = 60;
const DRAWINGS_MAX = 6;

export class VirtualList<T> extends Component<Props<T>, State> {
  override state: State = { first: 0, end: 0 };
  private readonly scroller = createRef<HTMLDivElement>();
  private readonly rows = createRef<HTMLOListElement>();
  private readonly heights = new Map<string, number>();
  /** Where each row begins; one more than there are rows. */
  private tops: Float64Array = new Float64Array(1);
  private topsOf: readonly T[] | undefined;
  private atEnd = true;
  /** A row in view, and where in it. */
  private anchor: { key: string; top: number } | undefined;
  private observer: ResizeObserver | undefined;
  private ownScroll = -1;
  private drawings = 0;
  private readonly observed = new WeakSet<Element>();

  constructor(props: Props<T>) {
    super(props);
    this.state = { first: Math.max(0, props.items.length - 12), end: props.items.length };
  }

  override componentDidMount(): void {
    this.observer = new ResizeObserver((entries) => this.measure(entries));
    this.observer.observe(this.scroller.current!);
    this.componentDidUpdate();
  }

  override componentWillUnmount(): void {
    this.observer?.disconnect();
  }

  override getSnapshotBeforeUpdate(): boolean {
    return this.rows.current!.contains(document.activeElement);
  }

  override componentDidUpdate(_?: unknown, __?: unknown, focused?: boolean): void {
    // What had the focus has been scrolled away.
    if (focused && document.activeElement === document.body) this.scroller.current!.focus({ preventScroll: true });
    // New rows are measured at once: with guesses what is to be drawn might never settle.
    for (const row of this.rows.current!.children as HTMLCollectionOf<HTMLElement>) {
      if (this.observed.has(row)) continue;
      this.observed.add(row);
      this.observer!.observe(row);
      this.heights.set(row.dataset.key!, row.getBoundingClientRect().height);
      this.topsOf = undefined;
    }
    this.hold();
    // Each drawing may show that others are needed; in one frame of the screen that must come to an end.
    if (++this.drawings > DRAWINGS_MAX) return;
    if (this.drawings === 1) requestAnimationFrame(this.onFrame);
    this.look();
  }

  /** Brings the end into view, and stays there. */
  toEnd(): void {
    this.atEnd = true;
    this.props.onEnd(true);
    this.setState({ first: Math.max(0, this.props.items.length - 12), end: this.props.items.length });
  }

  private toStart(): void {
    const [first] = this.props.items;
    if (first === undefined) return;
    this.atEnd = false;
    this.props.onEnd(false);
    const scroller = this.scroller.current!;
    scroller.scrollTop = 0;
    this.anchor = { key: this.props.keyOf(first), top: (scroller.firstElementChild as HTMLElement).offsetTop };
    this.setState({ first: 0, end: Math.min(12, this.props.items.length) });
  }

  // The browser glides there, and would be stopped by each row that turns out higher than guessed.
  private readonly onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== this.scroller.current || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    event.key === "Home" ? this.toStart() : this.toEnd();
  };

  private measure(entries: ResizeObserverEntry[]): void {
    let changed = false;
    for (const { target, borderBoxSize } of entries) {
      const key = (target as HTMLElement).dataset.key;
      const height = borderBoxSize[0]?.blockSize ?? 0;
      if (key === undefined || !target.isConnected) {
        changed ||= target === this.scroller.current;
      } else if (this.heights.get(key) !== height) {
        this.heights.set(key, height);
        changed = true;
      }
    }
    if (!changed) return;
    this.topsOf = undefined;
    this.forceUpdate();
  }

  private place(): void {
    const { items, keyOf } = this.props;
    if (this.topsOf === items) return;
    const tops = new Float64Array(items.length + 1);
    for (let i = 0, top = 0; i < items.length; ++i) tops[i + 1] = top += this.heights.get(keyOf(items[i]!)) ?? GUESS;
    this.tops = tops;
    this.topsOf = items;
  }

  /** Keeps what is seen where it is. */
  private hold(): void {
    const scroller = this.scroller.current!;
    if (this.atEnd) {
      scroller.scrollTop = scroller.scrollHeight;
    } else if (this.anchor) {
      const row = this.rowOf(this.anchor.key);
      if (!row) return;
      const moved = row.getBoundingClientRect().top - scroller.getBoundingClientRect().top - this.anchor.top;
      if (Math.abs(moved) >= 1) scroller.scrollTop += moved;
    }
    this.ownScroll = scroller.scrollTop;
  }

  private rowInView(): { key: string; top: number } | undefined {
    const scroller = this.scroller.current!;
    const view = scroller.getBoundingClientRect();
    for (const row of this.rows.current!.children) {
      const box = row.getBoundingClientRect();
      if (box.bottom <= view.top) continue;
      if (box.top >= view.bottom) break;
      return { key: (row as HTMLElement).dataset.key!, top: box.top - view.top };
    }
    // Scrolled to where nothing is drawn yet.
    this.place();
    const offset = (scroller.firstElementChild as HTMLElement).offsetTop;
    const { items, keyOf } = this.props;
    const place = Math.min(items.length - 1, this.rowAt(scroller.scrollTop - offset));
    return place < 0 ? undefined : { key: keyOf(items[place]!), top: this.tops[place]! + offset - scroller.scrollTop };
  }

  private rowOf(key: string): Element | undefined {
    for (const row of this.rows.current!.children) if ((row as HTMLElement).dataset.key === key) return row;
    return undefined;
  }

  private readonly onScroll = () => {
    const scroller = this.scroller.current!;
    if (Math.abs(scroller.scrollTop - this.ownScroll) >= 1) {
      const left = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
      // The least movement upward lets go of the end.
      const atEnd = left < (scroller.scrollTop > this.ownScroll ? NEAR_END : 2);
      if (atEnd !== this.atEnd) this.props.onEnd(atEnd);
      this.atEnd = atEnd;
      this.anchor = this.rowInView();
      this.ownScroll = scroller.scrollTop;
    }
    this.look();
  };

  private readonly onFrame = () => {
    const more = this.drawings > DRAWINGS_MAX;
    this.drawings = 0;
    if (more && this.scroller.current) this.look();
  };

  /** Which rows are to be drawn for what is in view. */
  private look(): void {
    this.place();
    const scroller = this.scroller.current!;
    const count = this.props.items.length;
    const offset = (scroller.firstElementChild as HTMLElement).offsetTop;
    const from = scroller.scrollTop - offset - BEYOND;
    const to = scroller.scrollTop - offset + scroller.clientHeight + BEYOND;
    const first = Math.max(0, this.rowAt(from));
    const end = Math.min(count, this.rowAt(to) + 1);
    const { first: shownFirst, end: shownEnd } = this.state;
    // Rows that are drawn although nobody needs them are let go of only when there are many.
    const enough = shownFirst <= first && shownEnd >= end && shownEnd <= count;
    if (enough && shownEnd - shownFirst <= end - first + 16) return;
    if (first !== shownFirst || end !== shownEnd) this.setState({ first, end });
  }

  private rowAt(top: number): number {
    let low = 0;
    let high = this.props.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1]! <= top) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  override render({ items, keyOf, render, label, after }: Props<T>, { first, end }: State) {
    this.place();
    const count = items.length;
    // New ones at the end are drawn at once while the end is in view, however many came.
    const view = this.scroller.current?.clientHeight ?? GUESS * 4;
    const near = this.rowAt(this.tops[count]! - view - BEYOND);
    const from = this.atEnd && near - first > 16 ? near : Math.min(first, count);
    const to = this.atEnd ? count : Math.min(end, count);
    const rows = [];
    for (let i = from; i < to; ++i) {
      const key = keyOf(items[i]!);
      rows.push(
        <li key={key} data-key={key} class="row" aria-setsize={count} aria-posinset={i + 1}>
          {render(items[i]!, i)}
        </li>,
      );
    }
    return (
      <div ref={this.scroller} class="scroller" onScroll={this.onScroll} onKeyDown={this.onKeyDown} tabindex={0} role="region" aria-label={label}>
        <div class="space" style={{ height: `${this.tops[from]}px` }} />
        <ol ref={this.rows} class="rows">
          {rows}
        </ol>
        <div class="space" style={{ height: `${this.tops[count]! - this.tops[to]!}px` }} />
        {after}
      </div>
    );
  }
}
