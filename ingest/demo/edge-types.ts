/** The graph of the sample studio, as its services would publish it. */
export const edgeTypes = /* GraphQL */ `
  "YYYY-MM-DD"
  scalar Date
  "ISO 8601 with zone"
  scalar DateTime
  "An exact decimal number as text"
  scalar Decimal

  type Query {
    "In the order of the ids; null for an id that is not known."
    movies(ids: [ID!]!): [Movie]!
    talents(ids: [ID!]!): [Talent]!
    deals(ids: [ID!]!): [Deal]!
  }

  type Movie {
    id: ID!
    title: String
    status: String
    genre: String
    rating: String
    runtimeMinutes: Int
    "US dollars"
    budget: Decimal
    "ISO codes of the countries that produce it"
    countries: [String!]!
    basedOn: String
    synopsis: String
    note: String
    plannedRelease: Date
    released: Date
    updatedAt: DateTime
    director: Talent
    credits: [Credit!]!
    deals: [Deal!]!
    "The first planned shooting day from today on"
    nextShootingDay: ShootingDay
  }

  type Talent {
    id: ID!
    name: String
    country: String
    isAvailable: Boolean
    credits: [Credit!]!
  }

  type Credit {
    id: ID!
    part: String
    characterName: String
    billing: Int
    talent: Talent
    movie: Movie
  }

  type ShootingDay {
    id: ID!
    day: Date
    "Local time of the crew's call"
    callTime: String
    location: String
    unit: String
    scenes: Int
  }

  type Deal {
    id: ID!
    movie: Movie
    territory: Territory
    licensee: String
    kind: String
    status: String
    fee: Decimal
    currency: String
    starts: Date
    ends: Date
    payments: [Payment!]!
    updatedAt: DateTime
  }

  type Territory {
    code: ID!
    name: String
    region: String
    currency: String
  }

  type Payment {
    id: ID!
    amount: Decimal
    currency: String
    due: Date
    paidAt: DateTime
  }
`;
