/** Server-sent events (HTML, section 9.2.6), taken out of a text that comes in pieces. Pure. */

export class Events {
  #rest = "";
  /** The id of the last event that had one: what to go on after. */
  lastId = null;

  /**
   * Take a piece of the text, and return the events that are complete with it. Comments are none.
   * @returns {{type: string, data: string}[]}
   */
  take(piece) {
    const blocks = (this.#rest + piece).replaceAll("\r\n", "\n").split("\n\n");
    this.#rest = blocks.pop();
    return blocks.map((block) => this.#event(block)).filter((event) => event.data);
  }

  #event(block) {
    const event = { type: "message", data: "" };
    for (const line of block.split("\n")) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (name === "event") event.type = value;
      else if (name === "data") event.data += event.data ? `\n${value}` : value;
      else if (name === "id") this.lastId = value;
    }
    return event;
  }
}
