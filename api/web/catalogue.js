/** The readings' names, titles, units and meanings, as the API describes them in its OpenAPI document. Pure. */

/**
 * @typedef {object} Told what the catalogue says of one field of a GPU
 * @property {string} name
 * @property {string} title
 * @property {string} meaning
 * @property {string} unit "" for what is no reading but says who the GPU is
 */

export class Catalogue {
  #told = new Map();

  /** @param {object} document the OpenAPI document, or `{}` as long as there is none */
  constructor(document) {
    const properties = document.components?.schemas?.HostGpu?.properties ?? {};
    for (const [name, schema] of Object.entries(properties)) {
      if (schema.title) this.#told.set(name, told(name, schema));
    }
  }

  /** Return what is said of a field; of one that the API does not describe, its name. @returns {Told} */
  of(name) {
    return this.#told.get(name) ?? told(name, {});
  }

  /** All readings, in the catalogue's order. @returns {Told[]} */
  get readings() {
    return [...this.#told.values()].filter((one) => one.unit);
  }

  /** What says who a GPU is. @returns {Told[]} */
  get identity() {
    return [...this.#told.values()].filter((one) => !one.unit);
  }
}

function told(name, schema) {
  const title = schema.title ?? name.replaceAll("_", " ");
  return { name, title, meaning: schema.description ?? "", unit: schema["x-unit"] ?? "" };
}
